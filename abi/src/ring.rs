//! The split virtqueue (VIRTIO 1.2 §2.7), one implementation for both sides.
