"""Words for what the names of the ImageNet classes lack. Words only: nothing was fitted to them."""

#: People, places, and what videos are full of.
EVERYDAY = [
    *("a person talking", "a group of people", "a crowd", "a woman", "a man", "a child", "a baby", "a face", "hair"),
    *("hands doing something", "makeup", "clothes", "jewelry", "soldiers", "musicians playing", "an interview"),
    *("a kitchen", "cooking", "food on a plate", "a living room", "a bed", "a bathroom", "a window", "a door"),
    *("an office", "a classroom", "a hospital", "a shop", "a workshop", "a factory", "tools", "a machine", "a phone"),
    *("a street with cars", "a road", "a car", "a train", "an airplane", "a boat", "a bicycle", "a motorcycle"),
    *("a building", "a city", "a bridge", "a garden", "flowers", "a tree", "a forest", "a field", "mountains", "snow"),
    *("a beach", "the sea", "a river", "a lake", "a waterfall", "the sky", "clouds", "rain", "fire", "smoke"),
    *("the night", "the moon", "space", "a dog", "a cat", "a bird", "a horse", "a fish", "an insect", "an animal"),
    *("a sports game", "a ball game", "a stadium", "running", "swimming", "dancing", "a stage", "a concert"),
    *("a wedding", "a news studio", "a screen with text", "a slide", "a computer screen", "a video game", "a cartoon"),
    *("a drawing", "a map", "a logo"),
]
