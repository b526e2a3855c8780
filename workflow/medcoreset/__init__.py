"""medcoreset: from training images to coresets, retrained models, tables and figures."""

__version__ = "0.1.0"
