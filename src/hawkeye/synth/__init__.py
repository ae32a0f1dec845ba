"""Videos made from captioned pictures, with spans that are exact because they were planned: data we can make ourselves."""
