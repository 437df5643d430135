// Plays an SF2 or SF3 with spessasynth_core: node spessa.mjs MODULE BANK EVENTS.json OUT.f32
// EVENTS: {"rate", "frames", "events": [[frame, "on" | "off" | "cc" | "program", a, b], ...]}; OUT: the left channel.
import { readFileSync, writeFileSync } from "node:fs";

const [module, bank, list, out] = process.argv.slice(2);
const { SoundBankLoader, SpessaSynthProcessor } = await import(module);
const { rate, frames, events } = JSON.parse(readFileSync(list, "utf8"));
const bytes = readFileSync(bank);
const synth = new SpessaSynthProcessor(rate, { eventsEnabled: false, effectsEnabled: false });
await synth.processorInitialized;
const parsed = SoundBankLoader.fromArrayBuffer(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
synth.soundBankManager.addSoundBank(parsed, "main");
synth.programChange(0, 0);
const does = {
  on: (a, b) => synth.noteOn(0, a, b), off: (a) => synth.noteOff(0, a),
  cc: (a, b) => synth.controllerChange(0, a, b), program: (a) => synth.programChange(0, a),
};
const left = new Float32Array(frames);
const right = new Float32Array(frames);
let next = 0;
for (let at = 0; at < frames; at += 64) {
  for (; next < events.length && events[next][0] <= at; next++) {
    const [, what, a, b] = events[next];
    does[what](a, b);
  }
  synth.process(left, right, at, Math.min(64, frames - at));
}
writeFileSync(out, Buffer.from(left.buffer));
