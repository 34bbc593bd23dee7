"""The pure core: no input or output, no clock, no chance; values in, values out."""
