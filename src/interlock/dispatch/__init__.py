"""From the queue to the pools: claims what is ready, launches it, settles what came out.

The dispatcher knows tasks and pools; it calls no engine. What a task belongs to learns of its end through the store.
"""
