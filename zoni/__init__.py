"""zoni: physical machines and the hardware beside them."""
