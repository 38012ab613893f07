"""The objectives' data sets: `sets` says where each is and what is missing of it, `download` gets a file."""
