"""The loss over the vocabulary, computed a few hundred positions at a time.

Logits for a whole batch would be 4,096 x 8,192 numbers, written and read again several times. A slice
of them stays in the processor's cache, and its gradient is known at once: probabilities minus target.
"""

import torch
from torch.nn import functional

SLICE = 512


def text_loss(logits: torch.Tensor, answers: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Cross-entropy with the text, summed: (nats, gradient), from logits [positions, vocabulary]."""
    log_probabilities = logits.log_softmax(dim=-1)
    nats = -log_probabilities.gather(1, answers[:, None]).sum().item()
    gradient = log_probabilities.exp_()
    gradient[torch.arange(len(answers)), answers] -= 1
    return nats, gradient


def soft_loss(logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> tuple[float, torch.Tensor]:
    """T^2 * KL(teacher || student), both at temperature T, summed: (nats, gradient).

    Hinton, Vinyals & Dean 2015, section 2; the T^2 keeps its gradient on the scale of the text's.
    """
    wanted = (teacher_logits / temperature).log_softmax(dim=-1)
    got = (logits / temperature).log_softmax(dim=-1)
    divergence = functional.kl_div(got, wanted, reduction="sum", log_target=True).item()
    return temperature**2 * divergence, got.exp_().sub_(wanted.exp_()).mul_(temperature)


class HeadLoss(torch.autograd.Function):
    """Mean loss of hidden states through the output head, with the gradient worked out on the way.

    Takes hidden [positions, width], weight [vocabulary, width] and targets int64 [positions]; `teacher` is
    None or the pair (hidden, weight) of a model with the same vocabulary. Gives (loss, cross-entropy) in nats
    per token, where loss = mix * soft loss + (1 - mix) * cross-entropy if there is a teacher. Only the loss
    has a gradient.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets, teacher=None, temperature=1.0, mix=1.0):
        """Go through the positions slice by slice, in bfloat16 products and float32 sums."""
        head = weight.to(torch.bfloat16)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        loss = cross_entropy = 0.0
        for start in range(0, len(targets), SLICE):
            piece = slice(start, start + SLICE)
            states = hidden[piece].to(torch.bfloat16)
            logits = (states @ head.T).float()
            nats, gradient = text_loss(logits, targets[piece])
            cross_entropy += nats
            if teacher is not None:
                teacher_logits = (teacher[0][piece] @ teacher[1].T).float()
                soft, soft_gradient = soft_loss(logits, teacher_logits, temperature)
                nats = mix * soft + (1 - mix) * nats
                gradient.mul_(1 - mix).add_(soft_gradient, alpha=mix)
            loss += nats
            if any(ctx.needs_input_grad):
                gradient = gradient.to(torch.bfloat16)
                grad_hidden[piece] = gradient @ head
                grad_weight += gradient.T @ states
        ctx.save_for_backward(grad_hidden.div_(len(targets)), grad_weight.div_(len(targets)))
        cross_entropy = hidden.new_tensor(cross_entropy / len(targets))
        ctx.mark_non_differentiable(cross_entropy)
        return hidden.new_tensor(loss / len(targets)), cross_entropy

    @staticmethod
    def backward(ctx, grad_loss, _):
        """Scale the gradients found in `forward`."""
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad_loss, grad_weight * grad_loss, None, None, None, None


def head_loss(hidden, weight, targets, teacher=None, temperature=1.0, mix=1.0):
    """`HeadLoss` on batches: hidden [batch, positions, width], targets [batch, positions]."""
    if teacher is not None:
        states, teacher_weight = teacher
        teacher = states.flatten(0, 1).to(torch.bfloat16), teacher_weight.to(torch.bfloat16)
    # float32 states: their gradient must not be rounded before it reaches the last layer norm.
    return HeadLoss.apply(hidden.flatten(0, 1).float(), weight, targets.flatten(), teacher, temperature, mix)
