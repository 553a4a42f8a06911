"""Is an exported detector the one that it was made from?"""
