"""The report: one HTML file with all figures of the published copy, read without network."""
