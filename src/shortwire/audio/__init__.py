"""Off the media path: codecs and resampling, recordings, voice activity."""
