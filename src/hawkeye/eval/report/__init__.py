"""Reports: one or several runs side by side, as JSON, Markdown and one self-contained HTML page."""
