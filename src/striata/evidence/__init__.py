"""Evidence: intervals, paired tests, power, calibration."""
