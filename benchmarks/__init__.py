"""Speed, memory and quality, always beside what users would pick instead, always as a ratio in one run."""
