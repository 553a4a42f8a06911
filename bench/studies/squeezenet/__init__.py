"""SqueezeNet 1.1 on ImageNet images, cut and repaired."""
