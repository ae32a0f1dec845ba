"""Official annotation files into records: one file a data set. No torch, no videos."""
