using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definitions, generic over the number type.</content>
internal static unsafe partial class ExpertDispatch
{
    /// <summary>Weighted sum of one batch's expert outputs.</summary>
    public static void CombineScalar<T>(in ExpertAssignment assignment, int dim, T* weights, T* outputs, T* shared, T* y)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (long t = 0; t < assignment.Tokens; t++)
        {
            for (int d = 0; d < dim; d++)
            {
                T sum = T.Zero;
                for (int slot = 0; slot < assignment.Chosen; slot++)
                {
                    long i = t * assignment.Chosen + slot;
                    sum = T.FusedMultiplyAdd(weights[i], outputs[(long)assignment.RowOfSlot[i] * dim + d], sum);
                }

                y[t * dim + d] = shared == null ? sum : sum + shared[t * dim + d];
            }
        }
    }

    /// <summary>Gradients of the expert outputs and of the weights.</summary>
    public static void CombineBackwardScalar<T>(in ExpertAssignment assignment, int dim, T* weights, T* outputs, T* dy, T* doutputs, T* dweights)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (long i = 0; i < assignment.Rows; i++)
        {
            long row = (long)assignment.RowOfSlot[i] * dim;
            T* gradient = dy + i / assignment.Chosen * dim;
            dweights[i] = LaneSum.OfProductsScalar(gradient, outputs + row, dim);
            for (int d = 0; d < dim; d++)
                doutputs[row + d] = weights[i] * gradient[d];
        }
    }

    /// <summary>Gradient of the tokens from the gradients of the gathered rows.</summary>
    public static void GatherBackwardScalar<T>(in ExpertAssignment assignment, int dim, T* drows, T* dx)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (long t = 0; t < assignment.Tokens; t++)
        {
            for (int d = 0; d < dim; d++)
            {
                T sum = T.Zero;
                for (int slot = 0; slot < assignment.Chosen; slot++)
                    sum += drows[(long)assignment.RowOfSlot[t * assignment.Chosen + slot] * dim + d];
                dx[t * dim + d] = sum;
            }
        }
    }
}
