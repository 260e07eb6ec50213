# The accelerator's self-test: a boot sector that goes from real mode to long mode with paging, runs a hundred thousand
# SSE2 instructions and a CPUID there, and ends QEMU with status 33 through isa-debug-exit (port 0xf4).
# An accelerator that only gets firmware and real mode right fails here as it would under any of today's kernels.
# as -o selftest.o selftest.S && ld -m elf_x86_64 --oformat binary -Ttext 0x7c00 -o selftest.bin selftest.o
.code16
.globl _start
_start:
  cli; xor %ax,%ax; mov %ax,%ds; mov %ax,%es; mov %ax,%ss; mov $0x7c00,%sp; cld
  mov $0x1000,%di; xor %eax,%eax; mov $0x0c00,%cx; rep stosl     # three empty pages: PML4, PDPT, PD
  movl $0x2003,0x1000; movl $0x3003,0x2000; movl $0x0083,0x3000  # the first 2 MiB are where they are
  mov $0x1000,%eax; mov %eax,%cr3
  mov $0x620,%eax; mov %eax,%cr4                                 # PAE, OSFXSR, OSXMMEXCPT
  mov $0xc0000080,%ecx; rdmsr; or $0x100,%eax; wrmsr             # EFER.LME
  mov %cr0,%eax; and $0xfffffffb,%eax; or $0x80000003,%eax; mov %eax,%cr0
  lgdt gdtr
  ljmp $8,$go
.code64
go:
  mov $16,%eax; mov %eax,%ds; mov %eax,%ss; mov %eax,%es
  xor %eax,%eax; cpuid
  mov $100000,%ecx
1: pxor %xmm0,%xmm0; paddq %xmm0,%xmm0; push %rax; pop %rax; dec %ecx; jnz 1b
  mov $0x10,%al; out %al,$0xf4
2: hlt; jmp 2b
.align 8
gdt: .quad 0, 0x00209a0000000000, 0x0000920000000000
gdtr: .word 23; .long gdt
.org 510
.word 0xaa55
