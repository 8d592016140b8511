"""How results are shown: a table in Markdown and a plot as SVG, both made from results/latest.json alone."""
