"""Video motion transfer in plain PyTorch. Importing this package loads nothing: name the module you need."""

VERSION = "0.1.0"  # as in pyproject.toml; LoRA files say which one made them
