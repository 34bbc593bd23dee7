"""How models learn: labelled examples in, numbered model versions out."""
