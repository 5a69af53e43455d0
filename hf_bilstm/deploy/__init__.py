"""Taking a trained tagger to where it is used."""
