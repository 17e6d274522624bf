"""Figures by subject: pure functions from trial records to Plotly figures."""
