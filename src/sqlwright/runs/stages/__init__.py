"""The stages of a run, one file each: what they depend on (`inputs`) and what they do (`execute`)."""
