"""How a command hands its flags over. Services import `farm.flags`, which lies below the command line."""

from farm.flags import hand_over as hand_over
from farm.flags import take_flags as take_flags
