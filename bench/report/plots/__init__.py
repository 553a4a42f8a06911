"""Pictures as SVG, drawn by small pure functions: values in, an element out. Colours are the page's."""
