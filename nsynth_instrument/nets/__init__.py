"""The networks themselves: PyTorch modules, but for their configurations, which every runtime reads."""
