# A boot sector that does what firmware and the first instructions of a kernel do: protected mode, paging, long mode,
# FPU and SSE. It ends QEMU through isa-debug-exit with 0x2a << 1 | 1.
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl gdtr
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $protected
    .code32
protected:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    # Page tables at 0x1000: the first 2 MiB, one to one.
    movl $0x1000, %edi
    movl %edi, %cr3
    xorl %eax, %eax
    movl $0xc00, %ecx
    rep stosl
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    movl $0x83, 0x3000
    fninit
    movl %cr4, %eax
    orl $0x620, %eax            # PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orb $1, %ah                 # EFER.LME
    wrmsr
    movl %cr0, %eax
    orl $0x80000002, %eax       # PG, MP
    andl $~4, %eax              # EM
    movl %eax, %cr0
    ljmpl $24, $long
    .code64
long:
    fninit
    pxor %xmm0, %xmm0
    movaps %xmm0, 0x4000
    movl $1, %eax
    cpuid
    movb $0x2a, %al
    outb %al, $0xf4
    hlt
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff    # 8: code, 32 bits
    .quad 0x00cf92000000ffff    # 16: data
    .quad 0x00af9a000000ffff    # 24: code, 64 bits
gdtr:
    .word gdtr - gdt - 1
    .long gdt
