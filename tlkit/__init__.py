"""Deep transfer learning, taught by doing."""
