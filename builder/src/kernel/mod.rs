//! Kernel modules, firmware and the NIC contract.
