"""What people look at: terminal, report, plot files, dashboard."""
