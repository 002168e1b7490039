"""What is read: each feed of Dify, which raw tables it fills, and how its rows are found."""
