"""``python -m compressor``, the form that ``torchrun -m`` starts."""

from compressor.cli import main

if __name__ == "__main__":
    main()
