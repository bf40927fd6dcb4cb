"""Export: an adapter as GGUF, checked against the model it was trained on."""
