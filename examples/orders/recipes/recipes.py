"""What both functions know: a layer."""

DISHES = {"bibimbap": "rice, vegetables, egg", "kimchi": "cabbage, chili, time"}
