"""Where frames come from: webcams, streams, files, folders of images."""
