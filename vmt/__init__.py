"""Video motion transfer in plain PyTorch. Importing this package loads nothing: name the module you need."""
