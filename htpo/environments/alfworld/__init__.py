"""ALFWorld (2010.03768): the real games, through `textworld`."""
