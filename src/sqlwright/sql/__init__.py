"""SQL as text and structure: lexing, Spider's grammar, hardness, and SQL out of a model's answer."""
