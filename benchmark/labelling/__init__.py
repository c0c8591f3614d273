"""From a report to 14 lesions with status and side."""
