"""Training: shared-schema packing, LoRA, checkpoints."""
