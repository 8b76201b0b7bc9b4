"""What runs by itself: links to partners, numbering of events, expiry. The asyncio shell around gateway.exchange."""
