"""How a command hands its flags over. Services import `farm.flags`, which lies below the command line."""

from farm.flags import hand_over, take_flags

__all__ = ["hand_over", "take_flags"]
