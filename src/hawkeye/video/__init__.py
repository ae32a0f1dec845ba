"""From a file or a folder of pictures to frames with true times."""
