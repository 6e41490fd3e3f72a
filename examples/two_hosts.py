# two_hosts.py  two hosts from one file on one machine; on more machines it is the same command:   python two_hosts.py
import subprocess
import sys
from pathlib import Path

HOSTS = ("one", "two")


def main() -> int:
    """Runs both until this program is asked to end; they drain then."""
    app = Path(__file__).with_name("calls.py")
    hosts = [subprocess.Popen([sys.executable, str(app), "--name", name]) for name in HOSTS]
    try:
        return max(host.wait() for host in hosts)
    except KeyboardInterrupt:  # the terminal has told the hosts too
        return max(host.wait() for host in hosts)


if __name__ == "__main__":
    sys.exit(main())

# in another terminal:
#   farm status                    both hosts, their load and slots
#   farm host one                  one host and its processes
#   redis-cli ZRANGE farm:load 0 -1 WITHSCORES
