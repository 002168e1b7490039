"""What Dify answers: one file per noun, as its console API has them."""
