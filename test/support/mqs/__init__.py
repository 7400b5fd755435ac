# SPDX-License-Identifier: MIT
"""The tests' own MQTT: packets (wire), clients (client), broker processes (broker), scripts (script)."""
