"""One long run: a network of half the multiply-adds, trained until it is as good as the dense one."""
