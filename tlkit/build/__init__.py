"""From lessons written as text (solutions/) to the notebooks students open (course/)."""
